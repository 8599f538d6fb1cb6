import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The word count that everybody writes first with Kafka Streams: WordCount BOOTSTRAP APPLICATION GUARANTEE STATE_DIR INPUT OUTPUT
 * [PROTOCOL].
 *
 * <p>Prints a line for every thousand words it has counted, so that whoever started it can kill it in the midst; stops in good
 * order when its standard input ends.
 */
final class WordCount {
  private static final int WORDS_PER_LINE_OF_PROGRESS = 1000;

  private static int counted;

  public static void main(String[] args) throws Exception {
    var streams = application(args);
    streams.setUncaughtExceptionHandler(
        failure -> {
          failure.printStackTrace();
          Runtime.getRuntime().halt(1);
          return null;
        });
    streams.start();
    while (System.in.read() != -1) {}
    streams.close();
  }

  /** The word count by the arguments of the program. */
  static KafkaStreams application(String... args) {
    return new KafkaStreams(topology(args[4], args[5]).build(), configuration(args));
  }

  private static StreamsBuilder topology(String input, String output) {
    var builder = new StreamsBuilder();
    builder.stream(input, Consumed.with(Serdes.String(), Serdes.String()))
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
        .count(Materialized.as("counts"))
        .toStream()
        .peek((word, count) -> progress())
        .to(output, Produced.with(Serdes.String(), Serdes.Long()));
    return builder;
  }

  private static synchronized void progress() {
    if (++counted % WORDS_PER_LINE_OF_PROGRESS == 0) System.out.println(counted);
  }

  private static Properties configuration(String[] args) {
    var config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[2]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    // Every count is sent on, not the last of an interval alone.
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    config.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 500);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    if (args.length > 6 && args[6].equals("streams")) {
      config.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, args[6]);
      // What an instance had begun when it was killed is in the way of the others for no longer than this.
      config.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 2000);
    } else {
      // A killed instance is missed soon; of a streams group its configuration says when.
      config.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 1500);
      config.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 300);
    }
    // Small polls, so that a kill falls between many commits.
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 200);
    return config;
  }
}
