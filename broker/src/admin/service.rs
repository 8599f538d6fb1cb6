//! The calls, one after the other: answer here, or hand on.

use ottla_control::broker_disks_server::BrokerDisks;
use ottla_control::cluster_control_server::ClusterControl;
use ottla_control::{
    AddVoterRequest, AddVoterResponse, AdvertiseRequest, AdvertiseResponse, CheckRestartRequest, CheckRestartResponse,
    CordonRequest, CordonResponse, DescribeDisksRequest, DescribeDisksResponse, GetPartitionHealthRequest,
    GetPartitionHealthResponse, ListBrokersRequest, ListBrokersResponse, ListPlacementsRequest, ListPlacementsResponse,
    ListVotersRequest, ListVotersResponse, RemoveVoterRequest, RemoveVoterResponse, RetireDiskRequest,
    RetireDiskResponse, UncordonRequest, UncordonResponse,
};
use ottla_core::BrokerId;
use ottla_core::config::ADVERTISED;
use ottla_core::controller::{ConfigChange, ConfigOp, CordonBroker, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use tonic::{Request, Response, Status, async_trait};

use super::Admin;
use super::status::of_submit;
use super::way::{Way, onward};

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl ClusterControl for Admin {
    async fn list_brokers(&self, request: Request<ListBrokersRequest>) -> Answer<ListBrokersResponse> {
        match self.way(&request).await? {
            Way::Here => Ok(Response::new(self.registered_brokers().await)),
            Way::There(mut controller) => controller.list_brokers(onward(request)).await,
        }
    }

    async fn check_restart(&self, request: Request<CheckRestartRequest>) -> Answer<CheckRestartResponse> {
        match self.way(&request).await? {
            Way::Here => self.restart_verdict(BrokerId(request.get_ref().broker_id)).map(Response::new),
            Way::There(mut controller) => controller.check_restart(onward(request)).await,
        }
    }

    async fn cordon(&self, request: Request<CordonRequest>) -> Answer<CordonResponse> {
        self.set_cordoned(request.get_ref().broker_id, true).await?;
        Ok(Response::new(CordonResponse {}))
    }

    async fn uncordon(&self, request: Request<UncordonRequest>) -> Answer<UncordonResponse> {
        self.set_cordoned(request.get_ref().broker_id, false).await?;
        Ok(Response::new(UncordonResponse {}))
    }

    async fn advertise(&self, request: Request<AdvertiseRequest>) -> Answer<AdvertiseResponse> {
        let AdvertiseRequest { broker_id, listeners } = request.into_inner();
        self.set_advertised(broker_id, listeners).await?;
        Ok(Response::new(AdvertiseResponse {}))
    }

    async fn list_voters(&self, request: Request<ListVotersRequest>) -> Answer<ListVotersResponse> {
        match self.way(&request).await? {
            Way::Here => Ok(Response::new(self.quorum())),
            Way::There(mut controller) => controller.list_voters(onward(request)).await,
        }
    }

    async fn add_voter(&self, request: Request<AddVoterRequest>) -> Answer<AddVoterResponse> {
        match self.way(&request).await? {
            Way::Here => {
                let AddVoterRequest { broker_id, directory_id } = request.into_inner();
                self.give_vote(BrokerId(broker_id), &directory_id).await?;
                Ok(Response::new(AddVoterResponse {}))
            }
            Way::There(mut controller) => controller.add_voter(onward(request)).await,
        }
    }

    async fn remove_voter(&self, request: Request<RemoveVoterRequest>) -> Answer<RemoveVoterResponse> {
        match self.way(&request).await? {
            Way::Here => {
                let RemoveVoterRequest { broker_id, directory_id } = request.into_inner();
                self.take_vote(BrokerId(broker_id), &directory_id).await?;
                Ok(Response::new(RemoveVoterResponse {}))
            }
            Way::There(mut controller) => controller.remove_voter(onward(request)).await,
        }
    }

    async fn retire_disk(&self, request: Request<RetireDiskRequest>) -> Answer<RetireDiskResponse> {
        match self.way(&request).await? {
            Way::Here => {
                let RetireDiskRequest { broker_id, directory_id } = request.into_inner();
                self.retire(BrokerId(broker_id), &directory_id).await?;
                Ok(Response::new(RetireDiskResponse {}))
            }
            Way::There(mut controller) => controller.retire_disk(onward(request)).await,
        }
    }

    async fn get_partition_health(
        &self,
        request: Request<GetPartitionHealthRequest>,
    ) -> Answer<GetPartitionHealthResponse> {
        match self.way(&request).await? {
            Way::Here => Ok(Response::new(self.health().await)),
            Way::There(mut controller) => controller.get_partition_health(onward(request)).await,
        }
    }

    async fn list_placements(&self, request: Request<ListPlacementsRequest>) -> Answer<ListPlacementsResponse> {
        match self.way(&request).await? {
            Way::Here => Ok(Response::new(self.placements(&request.get_ref().after_topic).await)),
            Way::There(mut controller) => controller.list_placements(onward(request)).await,
        }
    }
}

#[async_trait]
impl BrokerDisks for Admin {
    async fn describe_disks(&self, request: Request<DescribeDisksRequest>) -> Answer<DescribeDisksResponse> {
        self.own_disks(request.into_inner()).await.map(Response::new)
    }
}

impl Admin {
    /// A command like any other: it goes to the controller by itself.
    async fn set_cordoned(&self, broker: i32, cordoned: bool) -> Result<(), Status> {
        let operation = CordonBroker { broker: BrokerId(broker), cordoned };
        self.broker.controller.submit(operation).await.map_err(of_submit)
    }

    /// As by IncrementalAlterConfigs, which each broker takes for itself only.
    async fn set_advertised(&self, broker: i32, listeners: String) -> Result<(), Status> {
        if self.broker.image().broker(BrokerId(broker)).is_none() {
            return Err(Status::not_found(format!("broker {broker} is not registered")));
        }
        let value = Some(listeners).filter(|listeners| !listeners.is_empty());
        let op = if value.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
        let change = ConfigChange { key: ADVERTISED.to_owned(), op, value };
        let changes = ResourceChanges { resource: Resource::broker(broker.to_string()), changes: vec![change] };
        let operation = IncrementalAlterConfigs { resources: vec![changes], validate_only: false };
        let answers = self.broker.controller.submit(operation).await.map_err(of_submit)?;
        let refused = answers.into_iter().find_map(|(_, result)| result.err());
        refused.map_or(Ok(()), |error| Err(Status::invalid_argument(error.to_string())))
    }
}
